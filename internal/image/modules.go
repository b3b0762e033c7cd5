package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/ulikunitz/xz"
)

const (
	// maxModule bounds one decompressed module, in bytes; overlay has 480 KiB.
	maxModule = 64 << 20
	// maxModules is how many the two digits of a module's place can number.
	maxModules = 100
	// modulesDir is where the guest's init looks, relative to its root.
	modulesDir = "modules"
)

// kernelModules are the modules that a kernel package brings. Names are as the
// kernel says them: with underscores, whatever their files are called.
type kernelModules struct {
	files   map[string]string // module → path of its .ko or .ko.xz
	builtin map[string]bool
	order   []module // in load order
	placed  map[string]bool
}

// module is one module, decompressed.
type module struct {
	name string
	data []byte
}

// loadModules reads a directory /lib/modules/RELEASE.
func loadModules(dir string) (*kernelModules, error) {
	k := &kernelModules{files: map[string]string{}, builtin: map[string]bool{}, placed: map[string]bool{}}
	text, err := readBounded(filepath.Join(dir, "modules.builtin"), 8<<20)
	if err != nil {
		return nil, fmt.Errorf("read what is built into the kernel: %w", err)
	}
	for _, line := range strings.Fields(string(text)) {
		k.builtin[moduleName(line)] = true
	}
	err = filepath.WalkDir(filepath.Join(dir, "kernel"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(d.Name(), ".ko") {
			k.files[moduleName(p)] = p
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the kernel's modules: %w", err)
	}
	return k, nil
}

// moduleName gives the name of the module in a file.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// want puts a module, and before it what it needs, into the load order. One
// that is built in needs no loading. What it needs is read from the module
// itself: modules.dep is made by depmod when a package is installed, and this
// one is only unpacked.
func (k *kernelModules) want(name string) error {
	name = strings.ReplaceAll(name, "-", "_")
	if k.placed[name] || k.builtin[name] {
		return nil
	}
	file, ok := k.files[name]
	if !ok {
		return fmt.Errorf("the kernel has no module %s, and it is not built in either", name)
	}
	k.placed[name] = true // before its needs: modules that need each other must not go on for ever
	data, err := readModule(file)
	if err != nil {
		return fmt.Errorf("read the module %s: %w", name, err)
	}
	needs, err := moduleNeeds(data)
	if err != nil {
		return fmt.Errorf("read what the module %s needs: %w", name, err)
	}
	for _, need := range needs {
		if err := k.want(need); err != nil {
			return fmt.Errorf("%w; the module %s needs it", err, name)
		}
	}
	if len(k.order) == maxModules {
		return fmt.Errorf("over %d modules are wanted", maxModules)
	}
	k.order = append(k.order, module{name, data})
	return nil
}

// readModule gives a module's ELF file, which Debian compresses with xz.
func readModule(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	switch filepath.Ext(file) {
	case ".ko":
	case ".xz":
		if r, err = xz.NewReader(f); err != nil {
			return nil, fmt.Errorf("decompress it: %w", err)
		}
	default:
		return nil, fmt.Errorf("%s is compressed in a way that is not known here", filepath.Base(file))
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err == nil && len(data) > maxModule {
		err = fmt.Errorf("it is over %d bytes", maxModule)
	}
	return data, err
}

// moduleNeeds reads the section .modinfo of a module: strings key=value, each
// ended by a zero. "depends" names the modules whose symbols it uses, "softdep"
// with "pre:" those that it asks for by name once it runs, which nothing in the
// guest would load for it.
func moduleNeeds(data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("it is not an ELF file: %w", err)
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("it has no section .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("read its section .modinfo: %w", err)
	}
	return parseModinfo(info), nil
}

func parseModinfo(info []byte) (needs []string) {
	for line := range strings.SplitSeq(string(info), "\x00") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "depends":
			needs = append(needs, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
		case "softdep":
			_, pre, _ := strings.Cut(value, "pre:")
			pre, _, _ = strings.Cut(pre, "post:")
			needs = append(needs, strings.Fields(pre)...)
		}
	}
	return needs
}

// writeModules writes the modules in load order as an archive that a kernel
// unpacks at its start (Documentation/driver-api/early-userspace/buffer-format.rst):
// modules/00-name.ko and so on. The kernel takes several archives one after
// the other, so whoever boots it puts its own /init behind this one.
func writeModules(w io.Writer, modules []module, at time.Time) error {
	out := cpio.NewWriter(w)
	if err := out.WriteHeader(&cpio.Header{Name: modulesDir, Mode: cpio.TypeDir | 0o755, Links: 2, ModTime: at}); err != nil {
		return fmt.Errorf("write the modules' archive: %w", err)
	}
	for i, m := range modules {
		name := fmt.Sprintf("%s/%02d-%s.ko", modulesDir, i, m.name)
		if err := out.WriteHeader(&cpio.Header{Name: name, Mode: cpio.TypeReg | 0o644, Size: int64(len(m.data)), ModTime: at}); err != nil {
			return fmt.Errorf("write the modules' archive: %w", err)
		}
		if _, err := out.Write(m.data); err != nil {
			return fmt.Errorf("write the module %s: %w", m.name, err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write the modules' archive: %w", err)
	}
	return nil
}
