package config

import (
	_ "embed"
)

// Defaults returns the effective configuration of an empty file, as a file with
// comments.
func Defaults() string { return defaults }

//go:embed defaults.yaml
var defaults string
