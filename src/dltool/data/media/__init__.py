"""Images and audio clips: headers, decoding, caching."""
