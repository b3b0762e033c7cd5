package agentproto

import (
	"errors"
	"fmt"
)

// PathResumed takes POST Resumed → 200. The machine has just been made of a snapshot of
// another: until this has been answered it has the other's name, address, secret,
// time and random numbers. It is asked with the other machine's secret; from the
// answer on only the new one's is taken.
const PathResumed = "/resumed"

// Bounds of Resumed.Entropy in bytes: the kernel's generator is seeded with 32.
const (
	MinEntropy = 32
	MaxEntropy = 4096
)

// Resumed makes a restored machine one of its own.
type Resumed struct {
	// Boot is what the machine would have been told had it booted: the files that
	// are its own, Dir/ConfigFile among them, and its host name.
	Boot Boot `json:"boot"`
	// MAC is the address that the machine's interface is to have.
	MAC string `json:"mac,omitempty"`
	// UnixNano is the time now.
	UnixNano int64 `json:"unix_nano"`
	// Entropy are random bytes from the host, for the kernel's generator.
	Entropy []byte `json:"entropy"`
}

// Check says whether the message keeps the rules, and gives the machine's config.
func (r Resumed) Check() (config []byte, err error) {
	if err := r.Boot.check(); err != nil {
		return nil, err
	}
	if len(r.Entropy) < MinEntropy || len(r.Entropy) > MaxEntropy {
		return nil, fmt.Errorf("entropy: %d bytes, want %d to %d", len(r.Entropy), MinEntropy, MaxEntropy)
	}
	if r.UnixNano <= 0 {
		return nil, errors.New("unix_nano: is no time of ours")
	}
	for _, f := range r.Boot.Files {
		if f.Path == Dir+"/"+ConfigFile {
			return f.Data, nil
		}
	}
	return nil, errors.New("boot: the machine's config is not among the files")
}
