"""What people look at: pictures, films, DICOM, NIfTI, the report."""
