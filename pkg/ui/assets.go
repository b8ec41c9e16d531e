/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed assets
var embedded embed.FS

// Assets are the files of the page.
func Assets() fs.FS {
	files, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic(err) // the name is that of the directive above
	}
	return files
}

const (
	indexName = "index.html"
	// assetsPrefix begins the paths of assets, and assetsMark is what the index has in its place.
	assetsPrefix = "/ui/assets/"
	assetsMark   = "{{assets}}"
)

// mediaTypes are those of assets. Other files are not served.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8",
}

// asset is one file.
type asset struct {
	content   []byte
	mediaType string
	etag      string
}

// assets are the files by name, and the hash of all of them. Modules import each other by relative
// paths, so one hash is in the path of all.
type assets struct {
	files map[string]asset
	index asset
	hash  string
}

func loadAssets(from fs.FS) (*assets, error) {
	loaded := &assets{files: map[string]asset{}}
	err := fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		mediaType := mediaTypes[path.Ext(name)]
		if err != nil || entry.IsDir() || mediaType == "" {
			return err
		}
		content, err := fs.ReadFile(from, name)
		loaded.files[name] = newAsset(content, mediaType)
		return err
	})
	if err != nil {
		return nil, err
	}
	index, ok := loaded.files[indexName]
	if !ok {
		return nil, fmt.Errorf("the page has no %s", indexName)
	}
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(loaded.files)) {
		fmt.Fprintf(all, "%s %s\n", name, loaded.files[name].etag)
	}
	loaded.hash = hex.EncodeToString(all.Sum(nil))[:16]
	content := strings.ReplaceAll(string(index.content), assetsMark, assetsPrefix+loaded.hash)
	loaded.index = newAsset([]byte(content), index.mediaType)
	delete(loaded.files, indexName)
	return loaded, nil
}

func newAsset(content []byte, mediaType string) asset {
	sum := sha256.Sum256(content)
	return asset{content: content, mediaType: mediaType, etag: `"` + hex.EncodeToString(sum[:16]) + `"`}
}

// serve serves an asset by its path after assetsPrefix: HASH/NAME may be cached for ever, NAME is checked
// on each use.
func (a *assets) serve(w http.ResponseWriter, r *http.Request, name string) {
	rest, hashed := strings.CutPrefix(name, a.hash+"/")
	found, ok := a.files[rest]
	if !ok {
		fail(w, http.StatusNotFound, "there is no such file")
		return
	}
	cache := "no-cache"
	if hashed {
		cache = "public, max-age=31536000, immutable"
	}
	found.serve(w, r, cache)
}

func (a asset) serve(w http.ResponseWriter, r *http.Request, cache string) {
	header := w.Header()
	header.Set("Cache-Control", cache)
	header.Set("ETag", a.etag)
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", a.mediaType)
	header.Set("Content-Length", fmt.Sprint(len(a.content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.content)
	}
}
