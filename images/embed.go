// Package images holds the recipes of the golden images as an embedded file
// system, so that an installed binary builds them without a checkout.
//
// Each directory is one recipe: recipe.yaml (what to install), files/ (an
// overlay for the finished tree: directories 0755, files 0644, and 0755 for a
// file that starts with "#!") and hooks/ (shell scripts that the builder runs
// on the host with the tree as their first argument). What a recipe means and
// how it is built is internal/image's; nothing is decided here. The package
// imports the standard library only and touches nothing.
package images

import "embed"

// Recipes is the tree of recipes: desktop/recipe.yaml and so on.
//
//go:embed all:desktop all:kernel all:tiny
var Recipes embed.FS
