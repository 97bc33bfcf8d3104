"""The page: one file per tab, the theme, the footer. No numerics here."""
