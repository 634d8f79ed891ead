//! Resources in files, changed in all the ways in which files are changed.
#![cfg(feature = "file")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::time::Duration;

use mesh_discovery::source::file::Files;
use mesh_discovery::source::{Source, Update};
use tokio::time::timeout;

/// Far more than any of the updates takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name} }}\n")
}

#[tokio::test]
async fn what_changes_in_a_directory_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("a.yaml"), namespace("a")).unwrap();
    let mut files = patient(path);
    assert_eq!(names(&mut files).await, ["a"]);

    fs::write(
        path.join("b.json"),
        r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"b"}}"#,
    )
    .unwrap();
    assert_eq!(names_until(&mut files, 2).await, ["a", "b"]);

    fs::remove_file(path.join("a.yaml")).unwrap();
    assert_eq!(names_until(&mut files, 1).await, ["b"]);
}

#[tokio::test]
async fn a_config_map_that_is_mounted_is_followed_through_its_links() {
    use std::os::unix::fs::symlink;

    let mount = tempfile::tempdir().unwrap();
    let path = mount.path();
    let version = |name: &str, content: &str| {
        let directory = path.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("mesh.yaml"), content).unwrap();
        let link = path.join("..data_tmp");
        symlink(name, &link).unwrap();
        fs::rename(link, path.join("..data")).unwrap();
    };
    version("..2026_01", &namespace("first"));
    symlink("..data/mesh.yaml", path.join("mesh.yaml")).unwrap();

    let mut directory = patient(path);
    let mut file = patient(&path.join("mesh.yaml"));
    assert_eq!(names(&mut directory).await, ["first"]);
    assert_eq!(names(&mut file).await, ["first"]);

    version("..2026_02", &namespace("second"));
    fs::remove_dir_all(path.join("..2026_01")).unwrap();
    assert_eq!(names(&mut directory).await, ["second"]);
    assert_eq!(names(&mut file).await, ["second"]);
}

#[tokio::test]
async fn files_with_an_error_are_refused_as_a_whole_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("a.yaml"), namespace("a")).unwrap();
    let mut files = patient(path);
    assert_eq!(names(&mut files).await, ["a"]);

    let wrong = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: e }\nspec: { hostss: [] }\n";
    fs::write(path.join("b.yaml"), wrong).unwrap();
    let why = loop {
        match next(&mut files).await {
            Update::Failed(why) if why.iter().any(|why| why.message.contains("hostss")) => {
                break why;
            }
            Update::Failed(_) | Update::Problems(_) | Update::All(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(why[0].file.ends_with("b.yaml"), "{}", why[0]);

    fs::write(path.join("b.yaml"), namespace("b")).unwrap();
    assert_eq!(names_until(&mut files, 2).await, ["a", "b"]);
}

#[tokio::test]
async fn a_resource_that_is_written_twice_or_not_valid_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for file in ["a.yaml", "b.yaml"] {
        fs::write(path.join(file), namespace("same")).unwrap();
    }
    let invalid = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: e }\nspec: { hosts: ['*'] }\n";
    fs::write(path.join("c.yaml"), invalid).unwrap();
    let Update::Failed(why) = next(&mut patient(path)).await else {
        panic!()
    };
    let drawn: Vec<_> = why.iter().map(ToString::to_string).collect();
    assert!(
        drawn.iter().any(|line| line.contains("declared already")),
        "{drawn:?}"
    );
    assert!(
        drawn.iter().any(|line| line.contains("c.yaml")),
        "{drawn:?}"
    );
}

#[tokio::test]
async fn a_path_that_is_not_there_yet_fails_and_is_found_by_looking() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later");
    let mut files = Files::new([&path])
        .without_events()
        .with_poll_interval(Duration::from_millis(20));
    let Update::Failed(why) = next(&mut files).await else {
        panic!()
    };
    assert!(why[0].message.starts_with("cannot be read"), "{}", why[0]);
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yaml"), namespace("a")).unwrap();
    assert_eq!(names_until(&mut files, 1).await, ["a"]);
}

#[tokio::test]
async fn an_object_without_namespace_is_in_the_default_one() {
    let directory = tempfile::tempdir().unwrap();
    let pod = "apiVersion: v1\nkind: Secret\nmetadata: { name: s }\n";
    fs::write(directory.path().join("a.yaml"), pod).unwrap();
    let mut files = Files::new([directory.path()]).with_default_namespace("shop");
    let Update::All(objects) = next(&mut files).await else {
        panic!()
    };
    assert_eq!(objects[0].metadata().namespace, "shop");
}

/// A source whose changes are told by events alone, as far as a test waits.
fn patient(path: &Path) -> Files {
    Files::new([path]).with_poll_interval(10 * PATIENCE)
}

async fn next(files: &mut Files) -> Update {
    let update = poll_fn(|cx| files.poll_update(cx));
    timeout(PATIENCE, update).await.unwrap().unwrap()
}

/// The names of the objects that are reported next.
async fn names(files: &mut Files) -> Vec<String> {
    loop {
        if let Update::All(objects) = next(files).await {
            let names = objects.iter().map(|object| object.metadata().name.clone());
            return names.collect();
        }
    }
}

/// The names of the objects, as soon as there are `count`: a file may be found half written.
async fn names_until(files: &mut Files, count: usize) -> Vec<String> {
    loop {
        let names = names(files).await;
        if names.len() == count {
            return names;
        }
    }
}
