package faults

func desktopFaults() []fault { return nil }
