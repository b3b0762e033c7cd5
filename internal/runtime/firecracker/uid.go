package firecracker

import (
	"bytes"
	"os"
	"strconv"

	"github.com/vitrine-dev/vitrine"
)

// checkUID says whether a process runs with the uid that a VMM is about to get:
// it could signal and trace the VMM. Slots are lent to one machine at a time, so
// such a process is a left-over, or this range of uids is somebody else's.
func checkUID(uid int) error {
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n[0] < '1' || n[0] > '9' {
			continue
		}
		status, err := os.ReadFile("/proc/" + n + "/status")
		if err == nil && hasUID(status, uid) {
			name, _, _ := bytes.Cut(bytes.TrimPrefix(status, []byte("Name:\t")), []byte("\n"))
			return vitrine.NewFailure(vitrine.FailVMMFailed, nil,
				"process %s (%.20q) runs with uid %d, which is the one of this machine's slot: a virtual machine's monitor must be alone with its uid", n, name, uid).
				AsError().WithRemedy("end process %s (`kill %s`); if these uids are in use by something else, see /etc/subuid: Vitrine needs 1048576 and up", n, n)
		}
	}
	return nil
}

// hasUID reads /proc/PID/status: a process that has ended and waits for its
// parent does no harm.
func hasUID(status []byte, uid int) bool {
	want := []byte(strconv.Itoa(uid))
	for line := range bytes.Lines(status) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch string(f[0]) {
		case "State:":
			if f[1][0] == 'Z' || f[1][0] == 'X' {
				return false
			}
		case "Uid:":
			for _, id := range f[1:] {
				if bytes.Equal(id, want) {
					return true
				}
			}
			return false
		}
	}
	return false
}
