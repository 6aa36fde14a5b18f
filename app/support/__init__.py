"""The customer-service chat: one turn from question to cited answer; no Gradio."""
