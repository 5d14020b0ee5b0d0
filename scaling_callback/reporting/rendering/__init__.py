"""Figures drawn: as SVG and PNG by matplotlib, as Plotly's JSON for dashboards."""
