"""The native engine: C++ on all cores of the processor."""
