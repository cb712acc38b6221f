"""Key figures by stage: a shipped catalogue, the workbook's own, and what the data can say of them."""
