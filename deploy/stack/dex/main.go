// The Dex of the tests: an OpenID Connect provider with one client and one person, kept in memory. It is compiled within
// Dex's own source, whose packages these are: without its other storages, of which one needs a C compiler, and its API.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/sirupsen/logrus"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
)

// What the file that is named on the command line says. The hash is bcrypt's.
type configuration struct {
	Issuer   string
	Listen   string
	Client   storage.Client
	Email    string
	Username string
	Hash     string
}

func main() {
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func serve(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var given configuration
	if err := json.Unmarshal(text, &given); err != nil {
		return err
	}
	logger := logrus.New()
	person := storage.Password{Email: given.Email, Username: given.Username, UserID: "7", Hash: []byte(given.Hash)}
	kept := storage.WithStaticClients(memory.New(logger), []storage.Client{given.Client})
	kept = storage.WithStaticPasswords(kept, []storage.Password{person}, logger)
	kept = storage.WithStaticConnectors(kept, []storage.Connector{
		{ID: server.LocalConnector, Name: "Email", Type: server.LocalConnector},
	})
	dex, err := server.NewServer(context.Background(), server.Config{
		Issuer:             given.Issuer,
		Storage:            kept,
		SkipApprovalScreen: true,
		Logger:             logger,
	})
	if err != nil {
		return err
	}
	return http.ListenAndServe(given.Listen, dex)
}
