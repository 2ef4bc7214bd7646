package uplinks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
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
	// Ifindex is the interface whose setting it is, by which it is found under
	// another name; 0 for none.
	Ifindex int `json:"ifindex,omitempty"`
}

// OpenUndoLog returns the log kept in the file at path, with what an earlier
// run left in it. A file that cannot be understood is set aside under another
// name, and said to log: it may be all that is known of the host's own settings.
func OpenUndoLog(path string, log *slog.Logger) (*UndoLog, error) {
	l := &UndoLog{path: path, entries: make(map[string]change)}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the undo record: %w", err)
	}
	if err := json.Unmarshal(b, &l.entries); err != nil {
		aside := path + ".broken"
		if err := os.Rename(path, aside); err != nil {
			return nil, fmt.Errorf("set the undo record aside, which cannot be understood: %w", err)
		}
		log.Warn("the undo record of an earlier run cannot be understood: restore the sysctls in it by hand", "kept", aside, "error", err)
		l.entries = make(map[string]change)
	}
	return l, nil
}

// Record notes that the sysctl at path is about to change from was to set. The
// first value noted for a path stays.
func (l *UndoLog) Record(path, was, set string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ifindex := indexOf(path)
	l.follow(path, ifindex)
	old, known := l.entries[path]
	if known {
		was = old.Was
	}
	entry := change{was, set, ifindex}
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
	for noted, c := range l.entries {
		path := c.at(noted)
		now, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(now)) == c.Set {
			if err := os.WriteFile(path, []byte(c.Was), 0); err != nil {
				errs = append(errs, fmt.Errorf("restore %s: %w", path, err))
				continue
			}
		}
		delete(l.entries, noted)
	}
	if len(errs) > 0 {
		return errors.Join(append(errs, l.save())...)
	}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("remove the undo record: %w", err))
	}
	return errors.Join(errs...)
}

// Noted reports whether the sysctl at path was changed, by this run or by one that
// was killed.
func (l *UndoLog) Noted(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.entries[path]
	return known
}

// Release puts one sysctl back that still has the value it was set to, and forgets
// it; it does nothing with one that is not noted.
func (l *UndoLog) Release(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, known := l.entries[path]
	if !known {
		return nil
	}
	if now, err := os.ReadFile(c.at(path)); err == nil && strings.TrimSpace(string(now)) == c.Set {
		if err := os.WriteFile(c.at(path), []byte(c.Was), 0); err != nil {
			return fmt.Errorf("restore %s: %w", path, err)
		}
	}
	delete(l.entries, path)
	return l.save()
}

// follow makes way for the note of an interface that has got the name of another
// one, which is noted under that name. l.mu is held.
func (l *UndoLog) follow(path string, ifindex int) {
	c, known := l.entries[path]
	if !known || c.Ifindex == ifindex {
		return
	}
	delete(l.entries, path)
	if now := c.at(path); now != "" && now != path {
		l.entries[now] = c
	}
}

// at returns where a setting is now that was noted at a path, "" if its interface
// is gone.
func (c change) at(path string) string {
	if c.Ifindex == 0 {
		return path
	}
	i, err := net.InterfaceByIndex(c.Ifindex)
	if err != nil {
		return ""
	}
	dir, key := filepath.Split(path)
	return filepath.Join(filepath.Dir(filepath.Clean(dir)), i.Name, key)
}

// indexOf returns the interface whose setting is at a path, 0 for none: those of
// "all" and "default" are nobody's.
func indexOf(path string) int {
	if !strings.HasPrefix(path, "/proc/sys/net/") {
		return 0
	}
	i, err := net.InterfaceByName(filepath.Base(filepath.Dir(path)))
	if err != nil {
		return 0
	}
	return i.Index
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
