"""The metric-learning reality check: trained fairly, is this loss better than that one?"""

__version__ = "0.1.0"
