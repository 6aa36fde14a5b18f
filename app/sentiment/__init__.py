"""How a text feels: label, probability, and whether the model is not sure."""
