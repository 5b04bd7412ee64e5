"""Scans kept as they come in: ``recorder`` follows a scan, ``scan`` is its file, ``store`` the folder."""
