"""What each SKU will sell: weekly demand, the models, their backtest, and the forecast that is served."""
