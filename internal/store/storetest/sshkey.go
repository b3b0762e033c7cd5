package storetest

import (
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine"
)

func sshKeys(t *testing.T, store vitrine.Store) {
	s, ok := store.(vitrine.SSHKeyStore)
	if !ok {
		t.Fatal("the store keeps no SSH keys")
	}
	ada := vitrine.SSHKey{ID: "ssh_1", UserID: "ada", Role: vitrine.RoleUser, Name: "laptop", PublicKey: "ssh-ed25519 AAAA", Fingerprint: "SHA256:one", CreatedAt: start}
	bob := ada
	bob.ID, bob.UserID, bob.Role, bob.CreatedAt = "ssh_2", "bob", vitrine.RoleAdmin, start.Add(time.Second)
	brief := ada
	brief.ID, brief.Fingerprint, brief.CreatedAt, brief.ExpiresAt = "ssh_3", "SHA256:two", start.Add(2*time.Second), start.Add(time.Minute)
	for _, k := range []vitrine.SSHKey{ada, bob, brief} {
		if err := s.PutSSHKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	again := ada
	again.ID = "ssh_4"
	wantClass(t, s.PutSSHKey(t.Context(), again), vitrine.ClassConflict)

	list := func(what string, got []vitrine.SSHKey, err error, want ...vitrine.SSHKey) {
		t.Helper()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %v, %+v", what, err, got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %+v, want %+v", what, got[i], want[i])
			}
		}
	}
	got, err := s.SSHKeys(t.Context(), "")
	list("all", got, err, ada, bob, brief)
	got, err = s.SSHKeys(t.Context(), "ada")
	list("ada's", got, err, ada, brief)
	got, err = s.SSHKeysByFingerprint(t.Context(), "SHA256:one")
	list("of two users", got, err, ada, bob)
	got, err = s.SSHKeysByFingerprint(t.Context(), "SHA256:none")
	list("unknown", got, err)

	// What ran out goes with the next key that is made.
	late := ada
	late.ID, late.Fingerprint, late.CreatedAt = "ssh_5", "SHA256:three", brief.ExpiresAt
	if err := s.PutSSHKey(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	got, err = s.SSHKeys(t.Context(), "ada")
	list("after one ran out", got, err, ada, late)

	if err := s.DeleteSSHKey(t.Context(), ada.ID); err != nil {
		t.Fatal(err)
	}
	wantClass(t, s.DeleteSSHKey(t.Context(), ada.ID), vitrine.ClassNotFound)
	got, err = s.SSHKeysByFingerprint(t.Context(), "SHA256:one")
	list("after a removal", got, err, bob)
}
