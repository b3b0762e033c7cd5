package display

// Main is the child: "vitrine-agent display". It returns the exit status.
func Main() int { return 1 }
