package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// readSettings reads all settings below /proc/sys/net that match a pattern, as
// lines "sysctl KEY = VALUE". It runs on a node's thread: /proc/sys/net shows
// the reader's own namespace.
func readSettings(pattern string) ([]string, error) {
	const root = "/proc/sys/net/"
	paths, err := filepath.Glob(root + pattern)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	var lines []string
	for _, path := range paths {
		value, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read settings: %w", err)
		}
		lines = append(lines, fmt.Sprintf("sysctl %s = %s", strings.TrimPrefix(path, root), strings.TrimSpace(string(value))))
	}
	return lines, nil
}
