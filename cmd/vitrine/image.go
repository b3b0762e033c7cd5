package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/images"
	"github.com/vitrine-dev/vitrine/internal/image"
)

func imageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Build, list, verify and remove golden images"}
	cmd.AddCommand(imageBuildCommand(), imageListCommand(), imageVerifyCommand(), imageMeasureCommand(), imageRemoveCommand())
	return cmd
}

// withImages opens the store that the settings name; flags of the settings that
// matter to it are on every image verb.
func withImages(cmd *cobra.Command, run func(ctx context.Context, store *image.Store, args []string) error) *cobra.Command {
	// Only these are settings: a verb may have a --runtime of its own.
	own := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	for _, name := range []string{"VITRINE_CACHE_DIR", "VITRINE_IMAGE_DIR"} {
		d, _ := findSetting(name)
		own.String(d.flag(), "", d.help)
	}
	cmd.Flags().AddFlagSet(own)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		s, _, err := loadConfig(defaultSources(own))
		if err != nil {
			return err
		}
		return run(c.Context(), image.NewStore(s.ImageDir), args)
	}
	return cmd
}

func imageBuildCommand() *cobra.Command {
	var recipes string
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "build NAME",
		Short: "Build an image from its recipe; does nothing when it is built already",
		Long: "build makes an image: its tree, and the same as a disk for machines with a kernel of their own. What is\n" +
			"there already stays: an image of an earlier version is only given the disk that it lacks. With a desktop\n" +
			"comes the guest kernel of microVMs, which is the image `kernel`.",
		Example: "  vitrine image build desktop\n" +
			"  vitrine image build mine --recipes ./my-images   # from ./my-images/mine",
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&recipes, "recipes", "", "directory of recipes (default: those in this binary)")
	cmd.Flags().BoolVar(&force, "force", false, "build again, even if it is there")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the manifest as JSON")
	return withImages(cmd, func(ctx context.Context, store *image.Store, args []string) error {
		req := image.BuildRequest{Name: args[0], Recipes: images.Recipes, Force: force}
		if recipes != "" {
			req.Recipes = os.DirFS(recipes)
		}
		img, err := buildImage(ctx, store, req)
		if err != nil {
			return err
		}
		if img.Manifest.Kind == vitrine.KindDesktop {
			if err := buildKernel(ctx, store, images.Recipes, os.Stderr); err != nil {
				return err
			}
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), rowOf(store, img))
		}
		return nil
	})
}

// buildImage builds one image and shows how far it is.
func buildImage(ctx context.Context, store *image.Store, req image.BuildRequest) (vitrine.Image, error) {
	p := newProgress(os.Stderr)
	req.Progress = func(pr image.Progress) {
		if pr.Stage == image.StageReady {
			return
		}
		what := string(pr.Stage)
		if p.terminal && pr.Detail != "" {
			what += " " + pr.Detail
		}
		p.step("image "+req.Name+": "+what, int(pr.Percent))
	}
	img, err := store.Build(ctx, req)
	if err != nil {
		p.done("")
		return img, err
	}
	disk := ""
	if d, ok := store.DiskInfo(img); ok {
		disk = fmt.Sprintf(", disk %d MB", d.SizeBytes>>20)
	}
	p.done("image %s is ready: %s, %d MB%s, %d packages", img.Ref, shortDigest(img.Digest), img.Manifest.SizeBytes>>20, disk, len(img.Manifest.Packages))
	return img, nil
}

// buildKernel makes the guest kernel that goes with the desktops. A host that
// cannot have it still has its desktop in every other runtime, so a failure is
// told to w and is not the command's.
func buildKernel(ctx context.Context, store *image.Store, recipes fs.FS, w *os.File) error {
	_, err := buildImage(ctx, store, image.BuildRequest{Name: image.KernelName, Recipes: recipes})
	if err == nil || ctx.Err() != nil {
		return err
	}
	have := "no microVM can start here yet"
	if _, _, oldErr := store.Kernel(ctx); oldErr == nil {
		have = "microVMs start with the one that is there"
	}
	fmt.Fprintf(w, "warning: the guest kernel could not be made: %s; other runtimes need none\n", have)
	printError(w, err)
	fmt.Fprintf(w, "  then:   vitrine image build %s\n", image.KernelName)
	return nil
}

// imageRow is an image in the lists that programs read. Disk is null where none
// was made.
type imageRow struct {
	vitrine.Manifest
	Disk *image.DiskInfo `json:"disk"`
	// LeastMB is what `image measure` found, by runtime.
	LeastMB map[string]int `json:"least_memory_mb,omitempty"`
}

func rowOf(store *image.Store, img vitrine.Image) imageRow {
	row := imageRow{Manifest: img.Manifest, LeastMB: img.LeastMB}
	if d, ok := store.DiskInfo(img); ok {
		row.Disk = &d
	}
	return row
}

// disk and needs say what a list shows of an image's disk and least memory: a
// kernel has neither.
func (r imageRow) disk() string {
	switch {
	case r.Disk != nil:
		return fmt.Sprintf("%d MB", r.Disk.SizeBytes>>20)
	case r.Kind == vitrine.KindKernel:
		return "-"
	}
	return "not made"
}

func (r imageRow) needs() string {
	if r.MinMemoryMB == 0 {
		return "-"
	}
	text := fmt.Sprintf("%d MB", r.MinMemoryMB)
	for _, runtime := range slices.Sorted(maps.Keys(r.LeastMB)) {
		text += fmt.Sprintf(", %s %d MB", runtime, r.LeastMB[runtime])
	}
	return text
}

func imageListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the images on this host", Args: cobra.NoArgs}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return withImages(cmd, func(ctx context.Context, store *image.Store, _ []string) error {
		list, err := store.All(ctx)
		if err != nil {
			return err
		}
		damaged, err := store.Damaged(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			rows := make([]imageRow, 0, len(list))
			for _, img := range list {
				rows = append(rows, rowOf(store, img))
			}
			return errors.Join(append([]error{printJSON(cmd.OutOrStdout(), rows)}, damaged...)...)
		}
		if len(list) == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "no images yet: vitrine image build desktop")
		} else {
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "NAME\tDIGEST\tKIND\tSIZE\tDISK\tPACKAGES\tNEEDS\tBUILT")
			for _, img := range list {
				r := rowOf(store, img)
				fmt.Fprintf(tw, "%s\t%s\t%s\t%d MB\t%s\t%d\t%s\t%s\n", r.Name, shortDigest(r.Digest), r.Kind, r.SizeBytes>>20, r.disk(), len(r.Packages), r.needs(), ago(r.BuiltAt, time.Now()))
			}
			if err := tw.Flush(); err != nil {
				return err
			}
		}
		return errors.Join(damaged...)
	})
}

func imageVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "verify [NAME|DIGEST]", Short: "Hold every file of an image, and its disk, to its manifest", Args: cobra.MaximumNArgs(1)}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return withImages(cmd, func(ctx context.Context, store *image.Store, args []string) error {
		list, err := store.All(ctx)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			img, err := store.Find(ctx, args[0])
			if err != nil {
				return err
			}
			list = []vitrine.Image{img}
		}
		type row struct {
			Name   string           `json:"name"`
			Digest string           `json:"digest"`
			OK     bool             `json:"ok"`
			Fail   *vitrine.Failure `json:"failure,omitempty"`
		}
		rows, failed := []row{}, error(nil)
		p := newProgress(os.Stderr)
		for _, img := range list {
			p.step("verifying "+img.Ref+" "+shortDigest(img.Digest), -1)
			err := store.VerifyFull(ctx, img)
			r := row{Name: img.Ref, Digest: img.Digest, OK: err == nil}
			if err != nil && !errors.As(err, &r.Fail) {
				return err
			}
			if err != nil {
				failed = errors.Join(failed, err)
			} else if !asJSON {
				also := ""
				if img.Disk != "" {
					also = ", and so is its disk"
				}
				p.done("%s %s: every file is as it was built%s", img.Ref, shortDigest(img.Digest), also)
			}
			rows = append(rows, r)
		}
		p.done("")
		if asJSON {
			if err := printJSON(cmd.OutOrStdout(), rows); err != nil {
				return err
			}
		}
		return failed
	})
}

func imageRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rm NAME|DIGEST…", Aliases: []string{"remove"}, Short: "Remove images; one in use is refused", Args: cobra.MinimumNArgs(1)}
	return withImages(cmd, func(ctx context.Context, store *image.Store, args []string) error {
		for _, ref := range args {
			if err := store.Remove(ctx, ref); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "removed", ref)
		}
		return nil
	})
}

// shortDigest is enough of a digest to name an image by.
func shortDigest(digest string) string {
	d := filepath.Base(digest)
	if len(d) > len("sha256:")+12 {
		return d[len("sha256:") : len("sha256:")+12]
	}
	return d
}
