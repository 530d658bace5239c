"""The live page: knobs on a design, and at once what neurons, arrays, images and chips do."""
