"""What a run found: results with a digest, the comparison, terminal tables, one HTML page.

Above: ``api`` and the doors. Below: metrics and machines. Nothing here changes a result.
"""
