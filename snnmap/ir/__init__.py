"""The types that flow between the stages, and what they mean."""
