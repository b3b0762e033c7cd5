package vitrine

import (
	"slices"
	"testing"
	"time"
)

func TestIDsSortByTime(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	var ids []string
	for i := range 200 {
		id := NewID(PrefixSession, at.Add(time.Duration(i)*time.Millisecond))
		if !ValidID(PrefixSession, id) {
			t.Fatalf("%q is not valid", id)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by the time they were made at")
	}
	same := map[string]bool{}
	for range 1000 {
		same[NewID(PrefixMachine, at)] = true
	}
	if len(same) != 1000 {
		t.Errorf("%d ids of 1000 in one millisecond", len(same))
	}
}

func TestValidID(t *testing.T) {
	good := NewID(PrefixSession, time.UnixMilli(1))
	for s, want := range map[string]bool{
		good: true, "": false, "ses_": false, good + "0": false, good[:len(good)-1]: false,
		"mch" + good[3:]: false, "ses_0000000000000000000000000i": false, "SES" + good[3:]: false,
		"ses_../../../../../etc/passwd.": false, "ses_0000000000000000000000000\n": false,
	} {
		if ValidID(PrefixSession, s) != want {
			t.Errorf("%q: valid %v, want %v", s, !want, want)
		}
	}
}

func FuzzValidID(f *testing.F) {
	f.Add("ses_00000000000000000000000000")
	f.Add("ses_\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if !ValidID(PrefixSession, s) {
			return
		}
		for _, r := range s[4:] {
			if (r < '0' || r > '9') && (r < 'a' || r > 'z') {
				t.Fatalf("%q was let through", s)
			}
		}
	})
}
