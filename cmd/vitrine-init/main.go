// Command vitrine-init is the first program of a virtual machine, /init of its
// initramfs; see internal/guestinit. It is embedded in vitrine.
package main

import (
	"fmt"
	"os"

	"github.com/vitrine-dev/vitrine/internal/guestinit"
)

func main() {
	if os.Getpid() != 1 {
		// It mounts, and resets what it runs on.
		fmt.Fprintln(os.Stderr, "vitrine-init: runs only as the first process of a virtual machine")
		os.Exit(2)
	}
	guestinit.Main()
}
