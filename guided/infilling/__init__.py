"""Text with holes, filled so that the whole is valid: `guided.infill`, for both kinds of model."""
