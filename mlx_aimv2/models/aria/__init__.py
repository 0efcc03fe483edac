"""Aria: pictures and text in, text out, by a mixture of experts."""
