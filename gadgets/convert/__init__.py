"""What sites have besides ISMRMRD files, made into such: Siemens twix, BART, NumPy and MATLAB arrays."""
