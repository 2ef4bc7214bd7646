package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BinaryVariable is the environment variable that names a built mifvif to test.
const BinaryVariable = "MIFVIF_BINARY"

// Binary returns the path of a mifvif binary: the one that MIFVIF_BINARY names,
// or one built into dir from the module of the working directory, which must
// be in it. Set race to build with the race detector.
func Binary(ctx context.Context, dir string, race bool) (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "mifvif")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "mifvif/cmd/mifvif")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mifvif: %w: %s", err, out)
	}
	return path, nil
}
