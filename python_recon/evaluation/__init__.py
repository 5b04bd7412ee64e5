"""Methods compared: metrics, retrospective undersampling, tables. Draws nothing."""
