package uplinks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// UndoLog is the record of sysctls that were changed: what each was before, and
// what it was set to. It is on disk before the change is made, so that whoever
// comes after a killed daemon can put things back. Safe for concurrent use.
type UndoLog struct {
	path    string
	mu      sync.Mutex
	entries map[string]change
}

// change is one sysctl's value before and after.
type change struct {
	Was string `json:"was"`
	Set string `json:"set"`
}

// OpenUndoLog returns the log kept in the file at path, with what an earlier
// run left in it. A file that cannot be understood is an error: it may be all
// that is known of the host's own settings.
func OpenUndoLog(path string) (*UndoLog, error) {
	l := &UndoLog{path: path, entries: make(map[string]change)}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the undo record: %w", err)
	}
	if err := json.Unmarshal(b, &l.entries); err != nil {
		return nil, fmt.Errorf("read the undo record %s (restore the sysctls in it by hand, then remove it): %w", path, err)
	}
	return l, nil
}

// Record notes that the sysctl at path is about to change from was to set. The
// first value noted for a path stays.
func (l *UndoLog) Record(path, was, set string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.entries[path]
	if known {
		was = old.Was
	}
	entry := change{was, set}
	if known && old == entry {
		return nil
	}
	l.entries[path] = entry
	if err := l.save(); err != nil {
		delete(l.entries, path) // not noted: it must not be taken for noted the next time
		if known {
			l.entries[path] = old
		}
		return err
	}
	return nil
}

// Restore puts every sysctl back that still has the value it was set to, and
// removes the record. Interfaces that are gone took theirs with them. What
// could not be put back stays in the record.
func (l *UndoLog) Restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for path, c := range l.entries {
		now, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(now)) == c.Set {
			if err := os.WriteFile(path, []byte(c.Was), 0); err != nil {
				errs = append(errs, fmt.Errorf("restore %s: %w", path, err))
				continue
			}
		}
		delete(l.entries, path)
	}
	if len(errs) > 0 {
		return errors.Join(append(errs, l.save())...)
	}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("remove the undo record: %w", err))
	}
	return errors.Join(errs...)
}

// save writes the record whole, or leaves the old one.
func (l *UndoLog) save() error {
	b, err := json.MarshalIndent(l.entries, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the undo record: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(l.path), ".undo-*")
	if err != nil {
		return fmt.Errorf("write the undo record: %w", err)
	}
	defer os.Remove(f.Name())
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the undo record: %w", err)
	}
	if err := os.Rename(f.Name(), l.path); err != nil {
		return fmt.Errorf("write the undo record: %w", err)
	}
	return nil
}
