"""What customers cost and bring: orders, acquisition, margin over time, lifetime value, returns, opinions.

Each function takes plain frames and returns numbers with their uncertainty; money is in the workbook's currency.
"""
