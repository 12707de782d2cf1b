"""OKRs: what makes one sound, how it and its runs change, how progress follows measurements.

Pure: what is measured, stored and asked comes in as a port.
"""
