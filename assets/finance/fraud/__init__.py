"""Fraud: features of transactions, rules, scores with and without labels, drift; and anomalies of the books."""
