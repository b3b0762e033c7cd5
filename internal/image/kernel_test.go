package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/ulikunitz/xz"

	"github.com/vitrine-dev/vitrine"
)

func TestKernelImageBuiltTwiceIsTheSameByteForByte(t *testing.T) {
	needBuilder(t)
	one, two := NewStore(t.TempDir()), NewStore(t.TempDir())
	a := build(t, one, BuildRequest{Name: KernelName})
	b := build(t, two, BuildRequest{Name: KernelName, Force: true})
	if a.Digest != b.Digest {
		t.Fatalf("two builds gave %s and %s", a.Digest, b.Digest)
	}
	if a.Disk != "" {
		t.Errorf("a kernel has the disk %s", a.Disk)
	}
	vmlinux, modules, err := one.Kernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	entries, err := os.ReadDir(a.RootFS)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if want := []string{"config", "modules.cpio", "version", "vmlinux"}; !slices.Equal(have, want) {
		t.Errorf("the image holds %v", have)
	}
	data, err := os.ReadFile(vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkVmlinux(data); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(a.RootFS, versionName))
	if err != nil {
		t.Fatal(err)
	}
	release := strings.TrimSpace(string(text))
	if !bytes.Contains(data, []byte("Linux version "+release+" ")) {
		t.Errorf("the kernel is not the %q that the image says", release)
	}
	if p := a.Manifest.Packages; !slices.ContainsFunc(p, func(p vitrine.Package) bool { return p.Name == "linux-image-"+release && p.Version != "" }) {
		t.Errorf("the package of %s is not in the manifest: %v", release, p)
	}
	order := readModules(t, modules)
	for _, pair := range [][2]string{{"failover", "net_failover"}, {"net_failover", "virtio_net"}, {"vsock", "vmw_vsock_virtio_transport_common"}, {"vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"}} {
		first, then := slices.Index(order, pair[0]), slices.Index(order, pair[1])
		if first < 0 || then < 0 || first > then {
			t.Errorf("%s must come before %s: %v", pair[0], pair[1], order)
		}
	}
	for _, name := range []string{"virtio_mmio", "virtio_blk", "virtio_rng", "virtio_balloon", "squashfs", "overlay"} {
		if !slices.Contains(order, name) {
			t.Errorf("the module %s is missing: %v", name, order)
		}
	}
}

// readModules gives the names in a modules.cpio in order, and holds each to be
// an uncompressed module.
func readModules(t *testing.T, file string) (order []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	numbered := regexp.MustCompile(`^modules/(\d\d)-([a-z0-9_]+)\.ko$`)
	r := cpio.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return order
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == modulesDir {
			continue
		}
		m := numbered.FindStringSubmatch(h.Name)
		data, err := io.ReadAll(r)
		if err != nil || m == nil || h.Mode.Perm() != 0o644 {
			t.Fatalf("%s, mode %o: %v", h.Name, h.Mode, err)
		}
		if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
			t.Errorf("%s is not an ELF file", h.Name)
		}
		order = append(order, m[2])
	}
}

// unpacked makes the tree of a kernel package: the .ko files hold what each
// module says of itself.
func unpacked(t *testing.T, bz []byte, builtin string, modinfo map[string]string) (root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), rootName)
	files := map[string][]byte{"boot/vmlinuz-6.0-x": bz, "boot/config-6.0-x": []byte("CONFIG_X=y\n"), "lib/modules/6.0-x/modules.builtin": []byte(builtin), "usr/bin/kmod": nil}
	for name, info := range modinfo {
		data := elfFile(t, elf.ET_REL, elf.EM_X86_64, nil, []byte(info))
		if strings.HasSuffix(name, ".xz") {
			var b bytes.Buffer
			w, err := xz.NewWriter(&b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			data = b.Bytes()
		}
		files["lib/modules/6.0-x/kernel/"+name] = data
	}
	for name, data := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestModulesComeAfterWhatTheyNeed(t *testing.T) {
	root := unpacked(t, bzImage(t, goodVmlinux(t)), "kernel/drivers/virtio/virtio-ring.ko\n", map[string]string{
		"net/virtio_net.ko.xz":   "name=virtio_net\x00depends=net_failover,virtio_ring\x00",
		"net/net_failover.ko":    "depends=failover\x00",
		"net/failover.ko.xz":     "depends=\x00softdep=pre: crc32c\x00",
		"crypto/crc32c.ko":       "softdep=post: nothing\x00",
		"char/virtio-rng.ko.xz":  "depends=rng-a\x00",
		"char/rng-a.ko":          "depends=rng_b\x00",
		"char/rng_b.ko":          "depends=rng_a\x00", // in a circle
		"fs/nobody_wants_it.ko":  "depends=gone\x00",
		"fs/not-a-module.ko.txt": "",
	})
	r := Recipe{Name: "k", Modules: []string{"virtio_ring", "virtio_net", "virtio-rng", "failover"}, SourceDateEpoch: 1}
	if err := finishKernel(t.TempDir(), root, r); err != nil {
		t.Fatal(err)
	}
	want := []string{"crc32c", "failover", "net_failover", "virtio_net", "rng_b", "rng_a", "virtio_rng"}
	if got := readModules(t, filepath.Join(root, modulesName)); !slices.Equal(got, want) {
		t.Errorf("in the order %v, want %v", got, want)
	}
	if data, err := os.ReadFile(filepath.Join(root, vmlinuxName)); err != nil || !bytes.Equal(data, goodVmlinux(t)) {
		t.Errorf("the kernel is not the one of the package: %v", err)
	}
	if exists(filepath.Join(root, "usr")) || exists(filepath.Join(root, "lib")) {
		t.Error("the rest of the package is still there")
	}
}

func TestPackagesThatMakeNoKernelSayWhy(t *testing.T) {
	le := binary.LittleEndian
	good := bzImage(t, goodVmlinux(t))
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	cases := []struct {
		name  string
		bz    []byte
		infos map[string]string
		says  string
	}{
		{"a module that there is none of", good, nil, "no module virtio_blk"},
		{"a module needs one that there is none of", good, map[string]string{"virtio_blk.ko": "depends=gone\x00"}, "no module gone, and it is not built in either; the module virtio_blk needs it"},
		{"a module compressed otherwise", good, map[string]string{"virtio_blk.ko.zst": ""}, "virtio_blk.ko.zst is compressed in a way"},
		{"not a bzImage", []byte("#!/bin/sh\n"), nil, "no setup header"},
		{"a bzImage cut off", good[:len(good)-40], nil, "not within"},
		{"a payload before the file", change(func(b []byte) []byte { le.PutUint32(b[payloadOffsetAt:], 1<<31); return b }), nil, "not within"},
		{"a payload that ends after the file", change(func(b []byte) []byte { le.PutUint32(b[payloadLengthAt:], 1<<31); return b }), nil, "not within"},
		{"a boot protocol of 2006", change(func(b []byte) []byte { le.PutUint16(b[bootProtocolAt:], 0x0204); return b }), nil, "boot protocol 0x204"},
		{"compressed with another program", change(func(b []byte) []byte { copy(b[2*sectorSize+16:], "\xfd7zXZ"); return b }), nil, "fd 37 7a 58"},
		{"a payload damaged on its way", change(func(b []byte) []byte { b[len(b)-40] ^= 0xff; return b }), nil, "cannot be used"},
		{"a payload of another size than it says", change(func(b []byte) []byte { b[len(b)-13]++; return b }), nil, "and says"},
		{"a payload that says 4 GB", change(func(b []byte) []byte { copy(b[len(b)-13:], "\xff\xff\xff\xff"); return b }), nil, "is over"},
		{"not an ELF file inside", bzImage(t, []byte("hello, this is not a kernel")), nil, "not an ELF file"},
		{"a kernel for another processor", bzImage(t, elfFile(t, elf.ET_EXEC, elf.EM_AARCH64, nil, nil)), nil, "EM_AARCH64"},
		{"a kernel without PVH", bzImage(t, elfFile(t, elf.ET_EXEC, elf.EM_X86_64, note("Linux\x00", 257, nil), nil)), nil, "PVH"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := unpacked(t, c.bz, "", c.infos)
			if err := os.MkdirAll(filepath.Join(root, "lib/modules/6.0-x/kernel"), 0o755); err != nil {
				t.Fatal(err)
			}
			err := finishKernel(t.TempDir(), root, Recipe{Name: "k", Modules: []string{"virtio_blk"}, SourceDateEpoch: 1})
			var e *vitrine.Error
			if !errors.As(err, &e) || e.Code != "recipe_invalid" || !strings.Contains(e.Message, c.says) || !strings.Contains(e.Remedy, "images/k/recipe.yaml") {
				t.Errorf("got %v", err)
			}
		})
	}
	root := unpacked(t, good, "", nil)
	if err := os.Remove(filepath.Join(root, "boot/vmlinuz-6.0-x")); err != nil {
		t.Fatal(err)
	}
	if err := finishKernel(t.TempDir(), root, Recipe{Name: "k"}); err == nil || !strings.Contains(err.Error(), "0 kernels") {
		t.Errorf("packages without a kernel: %v", err)
	}
}

// plantKernel makes a small image of kind kernel.
func plantKernel(t *testing.T, s *Store) vitrine.Image {
	return plantAs(t, s, Recipe{Name: KernelName, Kind: vitrine.KindKernel, SourceDateEpoch: 1}, map[string]string{vmlinuxName: "kernel", modulesName: "modules", configName: "", versionName: "6.0-x\n"})
}

func TestKernelThatIsNotThereOrNotItselfIsNamed(t *testing.T) {
	s := NewStore(t.TempDir())
	kernel := func() error { _, _, err := s.Kernel(t.Context()); return err }
	if f := failure(t, kernel(), vitrine.FailKernelMissing); f.Remedy != "vitrine image build kernel" {
		t.Errorf("remedy: %s", f.Remedy)
	}
	plant(t, s, KernelName) // of kind terminal: a name alone makes no kernel
	failure(t, kernel(), vitrine.FailKernelMissing)

	img := plantKernel(t, s)
	vmlinux, modules, err := s.Kernel(t.Context())
	if err != nil || vmlinux != filepath.Join(img.RootFS, "vmlinux") || modules != filepath.Join(img.RootFS, "modules.cpio") {
		t.Fatalf("Kernel = %s, %s, %v", vmlinux, modules, err)
	}
	flipByte(t, vmlinux)
	f := failure(t, kernel(), vitrine.FailImageCorrupt)
	if !strings.Contains(f.Message, "image kernel") || !strings.Contains(f.Message, "vmlinux: expected") || !strings.Contains(f.Remedy, "vitrine image build kernel") {
		t.Errorf("got %q, remedy %q", f.Message, f.Remedy)
	}
	flipByte(t, vmlinux)
	if err := kernel(); err != nil {
		t.Errorf("whole again, and refused: %v", err)
	}
	if err := os.Truncate(modules, 3); err != nil {
		t.Fatal(err)
	}
	if f := failure(t, kernel(), vitrine.FailImageCorrupt); !strings.Contains(f.Message, "modules.cpio: expected") {
		t.Errorf("got %q", f.Message)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(img.RootFS), manifestName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f := failure(t, kernel(), vitrine.FailKernelMissing); len(f.Evidence) != 2 || !strings.Contains(f.Evidence[1], manifestName) {
		t.Errorf("the damaged one is not shown: %v", f.Evidence)
	}
}

func TestNoSessionIsStartedFromAKernel(t *testing.T) {
	s := NewStore(t.TempDir())
	img := plantKernel(t, s)
	for _, ref := range []string{"kernel", img.Digest} {
		_, err := s.Resolve(t.Context(), ref)
		var e *vitrine.Error
		if !errors.As(err, &e) || e.Class != vitrine.ClassInvalid || e.Code != "image_is_kernel" || e.Remedy == "" {
			t.Errorf("Resolve(%s): %v", ref, err)
		}
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v", list, err)
	}
	if all, err := s.All(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("All = %v, %v", all, err)
	}
	if err := s.Remove(t.Context(), "kernel"); err != nil {
		t.Error(err)
	}
}

func TestNoKernelIsBuiltForAnotherProcessor(t *testing.T) {
	var e *vitrine.Error
	if err := checkKind(vitrine.KindKernel, "arm64"); !errors.As(err, &e) || e.Code != "kernel_unsupported" || e.Remedy == "" {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(checkKind(vitrine.KindKernel, "amd64"), checkKind(vitrine.KindDesktop, "arm64")); err != nil {
		t.Error(err)
	}
}

func FuzzVmlinux(f *testing.F) {
	f.Add(bzImage(f, goodVmlinux(f)))
	f.Add(bzImage(f, nil))
	f.Fuzz(func(t *testing.T, bz []byte) {
		vmlinux, err := vmlinuxOf(bz)
		if err == nil && len(vmlinux) > maxVmlinux {
			t.Errorf("gave %d bytes", len(vmlinux))
		}
	})
}

func FuzzPVHNote(f *testing.F) {
	f.Add(goodVmlinux(f))
	f.Add(elfFile(f, elf.ET_EXEC, elf.EM_X86_64, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\x12\x00\x00\x00"), nil))
	f.Fuzz(func(t *testing.T, vmlinux []byte) {
		if checkVmlinux(vmlinux) == nil && !bytes.Contains(vmlinux, []byte(pvhNoteName)) {
			t.Error("took a kernel without the note")
		}
	})
}

func FuzzModinfo(f *testing.F) {
	f.Add(elfFile(f, elf.ET_REL, elf.EM_X86_64, nil, []byte("name=a\x00depends=b,c\x00softdep=pre: d e post: f\x00")))
	f.Fuzz(func(t *testing.T, data []byte) {
		needs, err := moduleNeeds(data)
		if err != nil {
			return
		}
		for _, n := range needs {
			if n == "" || strings.ContainsAny(n, ",\x00") {
				t.Errorf("needs %q", n)
			}
		}
	})
}

func TestWhatAModuleSaysItNeeds(t *testing.T) {
	got := parseModinfo([]byte("license=GPL\x00depends=b,c-d\x00softdep=pre: e f post: g\x00softdep=post: h\x00depends=\x00name=a\x00"))
	if want := []string{"b", "c-d", "e", "f"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
