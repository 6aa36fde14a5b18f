"""Weights and the engines that run them, behind three seams: ChatModel, TextEncoder, Classifier."""
