"""What people look at: pictures, films, DICOM, NIfTI, the report, and the grey window of them all."""
