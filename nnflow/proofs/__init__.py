"""Certificates: proofs in ball arithmetic."""
