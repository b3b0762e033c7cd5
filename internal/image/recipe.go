package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/vitrine-dev/vitrine"
	"go.yaml.in/yaml/v3"
)

// maxRecipe bounds recipe.yaml, in bytes.
const maxRecipe = 64 << 10

// Recipe says what an image is made of: recipe.yaml of a recipe directory.
type Recipe struct {
	Name     string       `yaml:"name"`
	Kind     vitrine.Kind `yaml:"kind"`
	Suite    string       `yaml:"suite"`   // Debian release, e.g. bookworm
	Variant  string       `yaml:"variant"` // mmdebstrap's: extract, minbase, …
	Packages []string     `yaml:"packages"`
	// Exclude and Include are dpkg's path-exclude and path-include globs.
	Exclude []string `yaml:"exclude"`
	Include []string `yaml:"include"`
	// Modules are the kernel modules that microVMs are given, in load order;
	// what they need comes before them unasked. Of kind kernel only.
	Modules []string `yaml:"modules"`
	// DiskCompression is how the image's disk (disk.go) is compressed: zstd,
	// when nothing is said, or none.
	DiskCompression string `yaml:"disk_compression"`
	// MinMemoryMB is the least memory with which a machine of this image has
	// been seen to become ready, in MiB; nothing runs from a kernel alone, so
	// that one has none.
	MinMemoryMB int `yaml:"min_memory_mb"`
	// BuildSpaceMB is the free space that a build needs at its peak, in MiB:
	// the tree and the larger of what is fetched for it and its disk.
	BuildSpaceMB int `yaml:"build_space_mb"`
	// SourceDateEpoch is the Unix time that no file's time exceeds
	// (reproducible-builds.org, SOURCE_DATE_EPOCH).
	SourceDateEpoch int64 `yaml:"source_date_epoch"`

	digest string // of all files of the recipe directory
}

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	packageForm = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{0,127}$`)
	moduleForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	globForm    = regexp.MustCompile(`^/[^\s"'\\]*$`)
)

// variants are those of mmdebstrap that a recipe may name.
var variants = []string{"extract", "essential", "apt", "minbase"}

// compressions are those that a recipe may name for its disk; "" is zstd.
var compressions = []string{"", compressZstd, compressNone}

// kinds are those that an image may be of.
var kinds = []vitrine.Kind{vitrine.KindDesktop, vitrine.KindTerminal, vitrine.KindKernel}

// goodMinMemory says whether an image of a kind may say that it needs mb MiB.
func goodMinMemory(kind vitrine.Kind, mb int) bool {
	if kind == vitrine.KindKernel {
		return mb == 0
	}
	return mb >= 1 && mb <= vitrine.MaxMemoryMB
}

// loadRecipe reads and checks the recipe directory name of recipes.
func loadRecipe(recipes fs.FS, name string) (Recipe, error) {
	if !nameForm.MatchString(name) {
		return Recipe{}, unknownRecipe(recipes, name)
	}
	text, err := fs.ReadFile(recipes, path.Join(name, "recipe.yaml"))
	if err != nil {
		return Recipe{}, unknownRecipe(recipes, name)
	}
	r, err := parseRecipe(text)
	if err == nil && r.Name != name {
		err = fmt.Errorf("its name is %q, its directory %q", r.Name, name)
	}
	if err == nil {
		r.digest, err = recipeDigest(recipes, name)
	}
	if err != nil {
		return Recipe{}, vitrine.Errorf(vitrine.ClassInvalid, "recipe_invalid", "the recipe %s cannot be used: %v", name, err).
			WithRemedy("mend images/%s/recipe.yaml", name)
	}
	return r, nil
}

func unknownRecipe(recipes fs.FS, name string) error {
	var have []string
	if entries, err := fs.ReadDir(recipes, "."); err == nil {
		for _, e := range entries {
			if e.IsDir() {
				have = append(have, e.Name())
			}
		}
	}
	return vitrine.Errorf(vitrine.ClassNotFound, "unknown_recipe", "there is no recipe %q", name).
		WithRemedy("build one of: %s", strings.Join(have, ", "))
}

// parseRecipe reads recipe.yaml and refuses what it does not know.
func parseRecipe(text []byte) (Recipe, error) {
	var r Recipe
	if len(text) > maxRecipe {
		return r, fmt.Errorf("it is over %d bytes", maxRecipe)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&r); err != nil {
		return r, err
	}
	return r, r.check()
}

func (r Recipe) check() error {
	switch {
	case !nameForm.MatchString(r.Name):
		return fmt.Errorf("name %q is not of lower-case letters, digits and dashes", r.Name)
	case !slices.Contains(kinds, r.Kind):
		return fmt.Errorf("kind %q is neither desktop, terminal nor kernel", r.Kind)
	case !packageForm.MatchString(r.Suite):
		return fmt.Errorf("suite %q is not a Debian release name", r.Suite)
	case !slices.Contains(variants, r.Variant):
		return fmt.Errorf("variant %q is none of %s", r.Variant, strings.Join(variants, ", "))
	case len(r.Packages) == 0:
		return fmt.Errorf("packages is empty")
	case r.Kind == vitrine.KindKernel && len(r.Modules) == 0:
		return fmt.Errorf("modules is empty")
	case r.Kind == vitrine.KindKernel && (r.MinMemoryMB != 0 || r.DiskCompression != ""):
		return fmt.Errorf("a kernel has neither min_memory_mb nor disk_compression")
	case r.Kind != vitrine.KindKernel && len(r.Modules) > 0:
		return fmt.Errorf("modules are a kernel's, and kind is %q", r.Kind)
	case r.Kind != vitrine.KindKernel && !slices.Contains(compressions, r.DiskCompression):
		return fmt.Errorf("disk_compression %q is neither none nor zstd", r.DiskCompression)
	case !goodMinMemory(r.Kind, r.MinMemoryMB):
		return fmt.Errorf("min_memory_mb %d is outside 1..%d", r.MinMemoryMB, vitrine.MaxMemoryMB)
	case r.BuildSpaceMB < 0 || r.BuildSpaceMB > 1<<20:
		return fmt.Errorf("build_space_mb %d is outside 0..%d", r.BuildSpaceMB, 1<<20)
	case r.SourceDateEpoch <= 0:
		return fmt.Errorf("source_date_epoch %d is not a Unix time", r.SourceDateEpoch)
	}
	for _, p := range r.Packages {
		if !packageForm.MatchString(p) {
			return fmt.Errorf("%q is not a package name", p)
		}
	}
	for _, m := range r.Modules {
		if !moduleForm.MatchString(m) {
			return fmt.Errorf("%q is not a module's name", m)
		}
	}
	for _, g := range slices.Concat(r.Exclude, r.Include) {
		if !globForm.MatchString(g) {
			return fmt.Errorf("%q is not an absolute path pattern", g)
		}
	}
	return nil
}

// recipeDigest covers the path and content of every file of the directory.
func recipeDigest(recipes fs.FS, name string) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(recipes, name, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(recipes, p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		fmt.Fprintf(h, "%s %x\n", strings.TrimPrefix(p, name+"/"), sum)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the files of recipe %s: %w", name, err)
	}
	return digestPrefix + hex.EncodeToString(h.Sum(nil)), nil
}
