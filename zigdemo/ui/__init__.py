"""The page: one file a tab, the theme, the footer. No numerics here."""
