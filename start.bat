@echo off
rem From a fresh copy of this folder to the form in the browser: a double click on this file.
rem
rem The first time it makes an environment in .venv (some minutes, most of it PyTorch); from then on it only starts the app.
rem What stands behind it goes to the app: start.bat port=9000
setlocal
cd /d "%~dp0"

if exist .venv\started goto start

rem The newest Python from 3.11 to 3.13 that the launcher knows
set "python="
for %%v in (3.11 3.12 3.13) do (
    py -%%v -c "" >nul 2>nul && set "python=py -%%v"
)
if not defined python (
    echo No Python from 3.11 to 3.13 was found; get one from https://www.python.org/downloads/ and start this again.
    goto failed
)

echo Making an environment with %python%. This takes some minutes, once.
if not exist .venv\Scripts\python.exe %python% -m venv .venv || goto failed
for /f "delims=" %%t in ('findstr /b "torch==" constraints.txt') do set "torch=%%t"
.venv\Scripts\python -m pip install --quiet --disable-pip-version-check "%torch%" || goto failed
.venv\Scripts\python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt ".[app]" || goto failed
type nul > .venv\started

:start
.venv\Scripts\mapperatorinator app %*
if errorlevel 1 goto failed
exit /b 0

:failed
echo.
echo It did not work; what stands above says why. `mapperatorinator doctor` looks closer.
pause
exit /b 1
