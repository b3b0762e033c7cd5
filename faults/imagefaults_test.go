package faults

func imageFaults() []fault { return nil }
