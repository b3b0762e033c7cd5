package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// KernelName is the image in which Kernel looks, and its recipe.
const KernelName = "kernel"

// What the tree of a kernel image holds, and nothing else.
const (
	vmlinuxName = "vmlinux"      // the uncompressed ELF kernel
	modulesName = "modules.cpio" // what is not built in, in load order
	configName  = "config"       // what it was configured with
	versionName = "version"      // its release, as uname -r says it, and a newline
)

// Kernel gives the guest kernel of microVMs, held to its manifest: the paths of
// the uncompressed kernel and of the archive of its modules, which is the first
// part of an initramfs. The error is a *vitrine.Failure: kernel_missing where
// no kernel image was made, image_corrupt where it differs from its manifest.
func (s *Store) Kernel(ctx context.Context) (vmlinux, modules string, err error) {
	list, bad, err := s.scan(ctx)
	if err != nil {
		return "", "", err
	}
	at := slices.IndexFunc(list, func(img vitrine.Image) bool {
		return img.Ref == KernelName && isKernel(img)
	})
	if at < 0 {
		evidence := []string{fmt.Sprintf("images in the store: %d", len(list))}
		for _, err := range bad {
			evidence = append(evidence, err.Error())
		}
		f := vitrine.NewFailure(vitrine.FailKernelMissing, evidence, "the guest kernel of microVMs is not in the store")
		f.Remedy = "vitrine image build " + KernelName
		return "", "", f
	}
	if err := s.Verify(ctx, list[at]); err != nil {
		return "", "", err
	}
	return filepath.Join(list[at].RootFS, vmlinuxName), filepath.Join(list[at].RootFS, modulesName), nil
}

// checkKind refuses a kernel for a processor that no microVM here is for.
func checkKind(kind vitrine.Kind, arch string) error {
	if kind == vitrine.KindKernel && arch != "amd64" {
		return vitrine.Errorf(vitrine.ClassUnavailable, "kernel_unsupported", "microVMs are for 64-bit x86 hosts, and this one is %s", arch).
			WithRemedy("use another runtime: VITRINE_RUNTIME=gvisor")
	}
	return nil
}

// finishKernel turns the tree of an unpacked kernel package into that of a
// kernel image. work is a directory of the build's own on the same disk.
func finishKernel(work, root string, r Recipe) error {
	release, lib, err := kernelRelease(root)
	if err != nil {
		return badKernel(r, err)
	}
	vmlinux, err := readVmlinux(filepath.Join(root, "boot", "vmlinuz-"+release))
	if err != nil {
		return badKernel(r, fmt.Errorf("the kernel %s cannot be used: %w", release, err))
	}
	config, err := readBounded(filepath.Join(root, "boot", "config-"+release), 4<<20)
	if err != nil {
		return badKernel(r, err)
	}
	k, err := loadModules(lib)
	if err != nil {
		return badKernel(r, err)
	}
	for _, name := range r.Modules {
		if err := k.want(name); err != nil {
			return badKernel(r, fmt.Errorf("the kernel %s: %w", release, err))
		}
	}
	at := time.Unix(r.SourceDateEpoch, 0)
	var archive bytes.Buffer
	if err := writeModules(&archive, k.order, at); err != nil {
		return err
	}
	made := filepath.Join(work, "kernel")
	if err := os.Mkdir(made, 0o755); err != nil {
		return fmt.Errorf("make the kernel image's tree: %w", err)
	}
	files := map[string][]byte{vmlinuxName: vmlinux, modulesName: archive.Bytes(), configName: config, versionName: []byte(release + "\n")}
	for name, data := range files {
		name = filepath.Join(made, name)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return fmt.Errorf("write the kernel image: %w", err)
		}
		if err := os.Chmod(name, 0o644); err != nil { // whatever our umask is
			return fmt.Errorf("write the kernel image: %w", err)
		}
	}
	if err := os.Chmod(made, 0o755); err != nil {
		return fmt.Errorf("write the kernel image: %w", err)
	}
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("remove the unpacked kernel package: %w", err)
	}
	if err := os.Rename(made, root); err != nil {
		return fmt.Errorf("put the kernel image's tree in its place: %w", err)
	}
	return clampTimes(root, at)
}

// kernelRelease finds the one kernel in a tree: its release and the directory
// of its modules, which is below /usr where / and /usr are merged.
func kernelRelease(root string) (release, lib string, err error) {
	var found []string
	for _, pattern := range []string{"lib/modules/*", "usr/lib/modules/*"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", "", err
		}
		for _, name := range names {
			if exists(filepath.Join(root, "boot", "vmlinuz-"+filepath.Base(name))) {
				found = append(found, name)
			}
		}
	}
	if len(found) != 1 {
		return "", "", fmt.Errorf("the packages hold %d kernels with modules, and one is wanted", len(found))
	}
	return filepath.Base(found[0]), found[0], nil
}

func readVmlinux(file string) ([]byte, error) {
	bzImage, err := readBounded(file, maxVmlinux)
	if err != nil {
		return nil, err
	}
	vmlinux, err := vmlinuxOf(bzImage)
	if err != nil {
		return nil, err
	}
	return vmlinux, checkVmlinux(vmlinux)
}

// badKernel is the error of packages that make no kernel image.
func badKernel(r Recipe, cause error) error {
	return vitrine.Errorf(vitrine.ClassInvalid, "recipe_invalid", "recipe %s gives no kernel for microVMs: %v", r.Name, cause).
		WithRemedy("mend packages and modules in images/%s/recipe.yaml", r.Name).WithCause(cause)
}

// kernelPackages are those of the fetched packages that the image holds a part
// of: the kernel's own. What they depend on was fetched with them and left out.
func kernelPackages(fetched []vitrine.Package) []vitrine.Package {
	return slices.DeleteFunc(slices.Clone(fetched), func(p vitrine.Package) bool {
		return !strings.HasPrefix(p.Name, "linux-image-")
	})
}
