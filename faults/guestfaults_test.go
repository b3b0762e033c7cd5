package faults

func guestFaults() []fault { return nil }
