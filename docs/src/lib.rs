//! The chapters of the book and the README, compiled so that their code keeps working.

#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;

#[doc = include_str!("concepts.md")]
#[derive(Debug)]
pub struct Concepts;

#[doc = include_str!("first-mesh.md")]
#[derive(Debug)]
pub struct FirstMesh;

#[doc = include_str!("explanations.md")]
#[derive(Debug)]
pub struct Explanations;

#[doc = include_str!("limits-and-trust.md")]
#[derive(Debug)]
pub struct LimitsAndTrust;
