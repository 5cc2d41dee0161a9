"""What each SKU will sell: weekly demand from transactions, models, their backtest, and the forecast that is served."""
