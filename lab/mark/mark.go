// Package mark replaces the part of a document that a command writes: what
// stands between two comments of the part's name. The rest is a person's.
package mark

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Write puts text between "<!-- name: begin -->" and "<!-- name: end -->" of the
// file, or makes both the whole file where it has no such marks.
func Write(path, name, text string) error {
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->\n"
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the document: %w", err)
	}
	content := begin + text + end
	before, rest, found := strings.Cut(string(old), begin)
	if _, after, ended := strings.Cut(rest, end); found && ended {
		content = before + content + after
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return fmt.Errorf("write %s into the document: %w", name, err)
	}
	return nil
}
