"""Whether models still see, and say, what they did: by model, by X-ray machine and by week."""
